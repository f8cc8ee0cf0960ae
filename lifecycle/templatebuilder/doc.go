// Package templatebuilder joins the executor's groups with the render cache: a [Builder] is a lifecycle.Builder whose
// builds of one template version share what the version needs, and render once for each owner and set of parameters.
//
// Two levels are shared. What depends on the version alone (its files, better their parsed form) is a value of
// rendercache.Handles: fetched when the first build of a group has to render, held until the group ends, given back on
// every path, and not fetched at all when every build of the group finds its result. What depends on owner and
// parameters as well is a value of the render cache, kept from tick to tick.
//
// # What it guarantees
//
//   - A group fetches a version once, however its builds overlap, and so do several groups and builds asked for by hand
//     at the same time. A fetch that fails is not tried again within the group.
//   - Concurrent builds with the same version, owner and parameters render once.
//   - A render that several groups wait for keeps the version's value for itself: the end of one group, or the
//     cancellation of one build, takes nothing away from the others.
//   - When the group has ended and the last render that used its version has, nothing is held.
//
// # What it does not do
//
// It neither makes nor closes the handles and the cache, and it tells the cache of no change: a host invalidates
// versions and owners where it learns that they changed. It does not know what a template is.
package templatebuilder
