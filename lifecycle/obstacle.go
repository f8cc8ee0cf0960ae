package lifecycle

// obstacle says why a rule does not fire, whatever the time. The zero value is no obstacle.
type obstacle uint8

const (
	none obstacle = iota
	workspaceDeleted
	workspaceManaged
	buildActive
	needsAttention
	badHolidays
	thresholdOff
	notRunning
	notStopped
	notAtRest
	neverBuilt
	lastBuildFailed
	lastBuildClean
	isDormant
	notDormant
	noDeadline
	noDeletion
	noSchedule
	badSchedule
	noAllowedDay
	ownerNotActive
	autostartForbidden
	useUnknown
	alreadyReminded
	alreadyTold
	tooLateToRemind
	nothingToExtend
	noFailedStart
	retriesEnded
	retryHeld
	retryOver
)

// String says the obstacle in words that complete "it does not apply:".
func (o obstacle) String() string {
	return [...]string{
		none:               "",
		workspaceDeleted:   "the workspace is deleted",
		workspaceManaged:   "something else controls the workspace",
		buildActive:        "a build is active; its end decides",
		needsAttention:     "automatic retries ended; a person has to look",
		badHolidays:        "the holidays of the template cannot be read, so every day may be one",
		thresholdOff:       "the policy does not ask for it",
		notRunning:         "the workspace is not running",
		notStopped:         "the workspace is not stopped",
		notAtRest:          "the workspace is neither dormant nor stopped",
		neverBuilt:         "the workspace was never built; the first start is by hand",
		lastBuildFailed:    "the last build failed",
		lastBuildClean:     "the last build left nothing behind",
		isDormant:          "the workspace is dormant",
		notDormant:         "the workspace is not dormant",
		noDeadline:         "there is no deadline",
		noDeletion:         "no deletion is set",
		noSchedule:         "there is no autostart schedule",
		badSchedule:        "the autostart schedule cannot be used",
		noAllowedDay:       "the schedule never falls on a day that is allowed and not held",
		ownerNotActive:     "the owner is not active",
		autostartForbidden: "the template does not allow autostarts",
		useUnknown:         "it is not known when the workspace was last used",
		alreadyReminded:    "the owner was reminded of this deadline",
		alreadyTold:        "the owner was told when it was set",
		tooLateToRemind:    "what it warns of comes first",
		nothingToExtend:    "there is no TTL, or the deadline is the latest that is allowed",
		noFailedStart:      "no automatic start has failed",
		retriesEnded:       "its tries ended; the next occurrence of the schedule stands",
		retryOver:          "it would come after the stop of its schedule; the next occurrence stands",
		retryHeld:          "it would fall into a hold of starts; the next occurrence of the schedule stands",
	}[o]
}
