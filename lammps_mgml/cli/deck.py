"""mgml deck"""


def arguments(parser):
    parser.add_argument("--vibration", action="store_true",
                        help="the file that measures vibrations (export MGML_VIBRATION=...)")


def run(args):
    from ..insitu.plugin import DECK, VIBRATION

    print(VIBRATION if args.vibration else DECK)
