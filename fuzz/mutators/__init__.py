"""Changes that leave inputs in their form, so that a fuzzer gets past the parser: of JSON, of text, of protobuf."""
