"""Docker's API, as every engine that speaks it is asked."""
