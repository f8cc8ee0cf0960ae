// Package templatebuilder connects the executor's groups with the render cache: a [Builder] is an [executor.Builder] whose
// builds of one template version share what the version needs, and render once for each owner and set of parameters.
//
// Two levels are shared. What depends on the version alone (its files, or better their parsed form) is a value of
// [rendercache.Handles]: fetched when the first build of a group has to render, held until the group ends, released on
// every path, and not fetched at all if every build of the group finds its result. What depends on the owner and the
// parameters as well is a value of the render cache, kept from tick to tick.
//
// # What it guarantees
//
//   - A group fetches a version once, however its builds overlap; groups and requested builds that run at the same time
//     share that fetch. A fetch that fails is not tried again within the group.
//   - Concurrent builds with the same version, owner and parameters render once.
//   - A render that several groups wait for holds the version's value itself: neither the end of one group nor the
//     cancellation of one build takes it from the others.
//   - When the group and the last render of its version have ended, nothing is held.
//
// # What it does not do
//
// It neither creates nor closes the handles and the cache, and it invalidates nothing: the host does that where it learns
// that a version or an owner has changed. It does not know what a template is.
package templatebuilder
