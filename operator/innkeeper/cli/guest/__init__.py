"""`kubectl guest`: what people type. `asking` is the way to the API server, `tables` prints, `commands` are the verbs."""
