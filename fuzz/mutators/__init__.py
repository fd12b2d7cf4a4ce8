"""Changes that keep JSON, text and protobuf well-formed, so that most inputs get past the parser."""
