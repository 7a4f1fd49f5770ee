"""What a run's own D2min says about its softness: a table, and a figure of four panels."""
