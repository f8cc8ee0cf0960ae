package postgres

// Statements are those that are put together from columns, by the name of their golden file.
func Statements() map[string]string {
	return map[string]string{
		"commit": commitSQL, "touch": touchSQL, "create": createSQL, "enqueue": enqueueSQL,
		"claim": claimSQL, "due": dueSQL, "builds": buildsSQL, "cancel": cancelSQL, "contenders": contendersSQL, "renew": renewSQL, "end": endSQL,
	}
}
