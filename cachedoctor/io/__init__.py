"""Files, streams and memory, each with a bound."""
