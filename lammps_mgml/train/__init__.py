"""From labelled glasses to a model file."""
