// Package webui is the pages of a fleet of workspaces: one for who operates it, one for who works in it. It is an
// [http.Handler] that a host mounts under a path of its own, behind its own login.
//
// The operator's page shows, from top to bottom: what runs, what is due, what is overdue and what needs a person; the
// running workspaces of the next seven days against a capacity; a lane for each workspace with its past and its plan; why
// a workspace does what it does; the queue and what nobody can run; workers and warm pools; holds; and what another policy
// would do. The owner's page shows somebody their own workspaces, what happens to them next, and the buttons for it.
//
// # What it needs
//
// A [Source] of three methods, and from it whatever it knows beyond that: the further interfaces ([Engine], [Queue],
// [Workers], [Pools], [Recorder], [Owners], [Usage], [Oracle], [Catalog], [Actor]) are abilities that are found by assertion, and a
// part of the page whose ability is missing says so. Package github.com/dormouse-go/dormouse/webui/planesource is a source over a
// dormouse.Plane, package github.com/dormouse-go/dormouse/webui/webuitest a scripted one to look at.
//
// # What it guarantees
//
//   - What is shown of a workspace's future is what the functions of package lifecycle and lifecycle/forecast say, with no
//     rule of its own. Why is the text of [lifecycle.Explain].
//   - Every GET leaves everything as it is. Without [Config.Actions] there is nothing else; with it an action needs a
//     request from the page's own origin (see [http.CrossOriginProtection]) and a viewer who may act.
//   - A viewer who is no operator sees and touches their own workspaces only. Another's is answered like one that does
//     not exist.
//   - The pages are complete without JavaScript. With it they follow what happens; no page fetches anything from elsewhere,
//     and the Content-Security-Policy forbids it, as well as scripts and styles within the page.
//   - Text that comes from people is escaped by html/template for the place where it stands.
//
// # What it does not do
//
// It authenticates nobody: [Config.Viewer] says who asks. It keeps nothing but a copy of the fleet, for [Config.Refresh].
// That copy holds every workspace of the source up to [Config.MaxWorkspaces], 44 MB of 20,000; of a larger fleet the operator's page
// shows a part, and says that it does.
package webui
