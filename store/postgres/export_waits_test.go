package postgres

// Waits are the statements that bound the waits of what comes after them.
func Waits() map[string]string {
	return map[string]string{
		"batch": batchWaitSQL, "alone": aloneWaitSQL, "batch by ids": batchByIDSQL, "alone by ids": aloneByIDSQL,
		"steady batch": batchSteadySQL, "heartbeat": signWaitSQL, "host": hostWaitSQL, "first turn": "SELECT true" + firstTurnWaitSQL,
	}
}
