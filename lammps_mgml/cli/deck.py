"""mgml deck"""


def arguments(parser):
    pass


def run(args):
    from ..insitu.plugin import DECK

    print(DECK)
