package lifecycle

import "math/bits"

// ruleSet has a bit for each rule.
type ruleSet uint16

// first is the first rule of a set that is not empty, in the order in which rules are asked.
func (set ruleSet) first() Rule { return Rule(bits.TrailingZeros16(uint16(set))) }

// The rules that may apply to a workspace, by where it is in its life.
const (
	whileRunning   ruleSet = 1<<RuleExtend | 1<<RuleAutostop | 1<<RuleDormancy | 1<<RuleReminder
	whileSuspended ruleSet = 1<<RuleAutostop | 1<<RuleDormancy
	atRest         ruleSet = 1<<RuleAutostart | 1<<RuleStartRetry | 1<<RuleDormancy
	afterFailure   ruleSet = 1 << RuleFailedCleanup
	beforeDeletion ruleSet = 1<<RuleAutodelete | 1<<RuleDeleteReminder
)

// candidates leaves out the rules that [arm] would refuse, as far as that is quickly seen: most workspaces keep two or three
// of them. It only saves time; [Explain], which asks all rules, must say the same.
func (v *view) candidates(s *Snapshot) (set ruleSet) {
	switch {
	case v.why != none:
		return 0
	case runs(s):
		set = whileRunning
	case s.Owner.Status == OwnerSuspended:
		set = whileSuspended
	default:
		set = atRest
	}
	if s.Build.Status != JobSucceeded {
		set |= afterFailure
	}
	if !s.Workspace.DeletingAt.IsZero() {
		set |= beforeDeletion
	}
	return set
}
