"""The team's screen: reads the store's views, and writes through the same steps as the CLI."""
