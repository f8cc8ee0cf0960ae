package storetest

import (
	"time"

	"github.com/dormouse-go/dormouse/prewarm"
)

// What several claims at once take lives as long as what one takes.
func memberClaimLifeOfMany(k *memberKit) {
	living := func(d time.Duration) func(*prewarm.Member) {
		return func(m *prewarm.Member) { m.Deadline = k.now.Add(d) }
	}
	all := k.insert(k.ready(9, living(time.Minute-time.Microsecond)), k.ready(5, living(time.Minute)), k.ready(1))
	grants := k.claim(k.pick(), claimOf("1"), claimOf("2"), claimOf("3"))
	k.must(grants[0].Member.ID == all[1].ID && grants[1].Member.ID == all[2].ID && grants[2].Result == prewarm.GrantNone,
		"of many, those are claimed that live until LivesUntil, or have no deadline", "%+v", grants)
}
