package text

// Unable is the sentence of a job that no live worker can run. Why says what keeps the workers from it; see [OfNearest].
func Unable(why string) string { return "No live worker can run it: " + why + "." }

// OfNearest says of the worker that comes closest to a job what keeps it from that, such as "lacks gpu=yes".
func OfNearest(why string) string { return "the nearest worker " + why }
