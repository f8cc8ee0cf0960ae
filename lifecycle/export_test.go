package lifecycle

// Latest is latest.
var Latest = latest
