"""The firewall rules that decide what servers reach."""
