"""One evaluation of a rank: its state in, columns and quantities out."""
