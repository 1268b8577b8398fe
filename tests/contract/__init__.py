"""What every engine and every proxy must do, pretended or real."""
