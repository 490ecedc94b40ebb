"""What answers look like, for the OpenAPI document and the tests: nothing is built from these while serving."""
