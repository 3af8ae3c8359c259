"""The team's screen: reads the store's views."""
