// Package dormouse is the front door: the engines of this module, joined over one store, as one value with one Run.
//
//	plane, err := dormouse.New(store, dormouse.Config{Build: build, Notify: notify})
//	err = plane.Migrate(ctx)
//	go plane.Run(ctx)
//
// A [Plane] ticks and makes the transitions that are due (package executor), hands their jobs out (package acquirer), runs
// them in workers of its own unless these are elsewhere (package worker), writes how they ended (package buildjobs), and
// delivers notices and audit entries. The host gives it a function that carries out one build, and calls its verbs for
// what people want. What else it can have is a field of its [Config]: machines that come and go with the builds, pools of
// workspaces that run already, and a look beside the scheduler that a host has before it changes over.
//
// A verb takes who asks and why ([By], [Note]) and returns the [Workspace] as it is then. [ProblemOf] makes an HTTP answer of
// any error. Read on at [New], [Plane.Run], [Plane.PutTemplate], [Plane.Create] and [Plane.Start].
//
// # What it guarantees
//
//   - Run asks the store before anything loops. Tables of the wrong version, and whatever else time cannot heal, are its
//     error; a store that cannot be reached is waited for.
//   - A request may be repeated: a start of what starts or runs already, a stop of what stops or is stopped, and a delete
//     of what is being deleted change nothing and are no error. Two clicks make one build.
//   - Run ends in order: the workers take no more builds and end those they have, then the hand-off stops, then the
//     engine, and what they started is gone when Run returns.
//
// # What it does not do
//
// It contains no rule: what is due, what is allowed and what a verb changes, package lifecycle decides. It knows nothing
// that its engines do not, and every engine works without it; [Plane.Executor] and [Plane.Acquirer] are those it uses. It
// does not authorize anybody: the actor of a request is written down, not checked. It does not make builds repeatable: a
// build whose process was killed is carried out again, so Config.Build must bear that.
package dormouse
