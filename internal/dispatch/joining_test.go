package dispatch_test

import "testing"

// Workers who have waited before there was anything to claim keep no claim from going at once; those who come while there is do.
func TestJoiningIsToComeWhileThereIsSomethingToClaim(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	domain := d.join(nil).Domain()
	d.join(nil)
	d.PostLocal(d.lane(nil), 1, 3)
	if domain.Joining() {
		t.Error("workers who waited before the posting are taken for some who come")
	}
	d.mustBegin()
	d.join(nil)
	if !domain.Joining() {
		t.Error("nobody is taken to come while a claim is under way")
	}
	late := newDesk(t)
	late.join(nil).Leave(now)
	late.PostLocal(late.lane(nil), 1, 3)
	late.queued = nil
	domain = late.join(nil).Domain()
	if !domain.Joining() {
		t.Error("who comes to a lane that holds something does not count")
	}
	late.mustBegin()
	if domain.Joining() {
		t.Error("a claim has begun, and those whom it serves are taken to come still")
	}
}
