// Package workspaces joins the pools of package prewarm with the workspaces of package lifecycle: a pool whose members are
// workspaces that run before somebody asks for them.
//
// A member's resource is a managed workspace: no rule of the lifecycle acts on it. A claim hands it to its owner by a verb,
// [lifecycle.Claim], and that change and the member's mark are one commit (see [Committer]): whatever dies at whatever
// instant, a workspace is either its owner's and the claim's key known, or neither. From the claim on it is a workspace
// like any other: its own deadlines end it, and the pool only remembers the key until it is deleted.
//
// [Workspaces] is both sides that a pool needs: its [prewarm.Backend], which has workspaces built and deleted by ordinary
// builds, and its [prewarm.Store], which keeps members where a store keeps them and workspaces in step with them.
//
// It does not decide how many there are, and does not start anything for a claim: what the workspace must be told about its
// owner is told by Config.Claimed.
package workspaces
