"""mgml train"""


def arguments(parser):
    parser.add_argument("loadings", nargs="+", help="dumps of inputs/in.aqs, gzipped or not")
    parser.add_argument("--unseen", nargs="+", required=True,
                        help="dumps of glasses kept for the score; never trained on")
    parser.add_argument("--strain", type=float, default=0.04, help="strain of the labels (0.04)")
    parser.add_argument("--name", default="cuzr", help="the model's name (cuzr)")
    parser.add_argument("-o", "--output", required=True, help="model file to write (.mgml)")


def run(args):
    from ..model import from_card, save_model, with_envelope
    from ..train.dataset import read_loading
    from ..train.fit import train
    from .score import check_unseen, print_scores, score

    training = [read_loading(p) for p in args.loadings]
    unseen = [read_loading(p) for p in args.unseen]
    card = train(training, args.strain, args.name)
    check_unseen(card, unseen)
    print(f"trained on {', '.join(card['training']['loadings'])}: {card['training']['atoms']} "
          f"rows, {100 * card['natural_share']:.1f} % plastic, "
          f"AUC out of fold {card['training']['auc_out_of_fold']:.3f}")
    model = from_card(with_envelope(card), args.output)
    card["scores"] = {x.name: score(model, x, args.strain, training) for x in unseen}
    save_model(args.output, card)
    print_scores(card["scores"])
    print(f"wrote {args.output}")
