package dormouse_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/prewarm/workspaces"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/webui/planesource"
	"github.com/dormouse-go/dormouse/workerpool"
	"github.com/dormouse-go/dormouse/workerpool/jobqueue"
)

// Why a method that takes the id of something is no way to what is another organization's: a test that tries it, or a sentence.
const (
	operators  = "the operator's, who may ask about everything: SECURITY.md"
	ownWork    = "the host's own, who says for whom it asks: docs/security.md"
	engines    = "an engine calls it with ids that it has read itself, or has compared before"
	ofMachines = "a pool of machines has no organizations; it knows what it has made itself"
)

// guarded says for each method that takes an id what guards it.
var guarded = []struct {
	of             reflect.Type
	methods, guard string
}{
	{
		reflect.TypeFor[*dormouse.Plane](),
		`Acted Adopt Apply Builds Calendar Cancel ComparePlan Count Create Delete Explain Extend FleetBuilds Get Hold HoldTemplate List Log Observe Plan
		PresetOf PutTemplate Restart SetSchedule SetTTL Start Stop Template Templates Upcoming Update Wake`, "TestOtherOrganizations",
	},
	{reflect.TypeFor[*dormouse.Plane](), "Claim", "TestPoolOfAnotherOrganizationsTemplate"},
	{reflect.TypeFor[*dormouse.Plane](), "Remote", "TestRemoteOfAnotherOrganization"},
	{reflect.TypeFor[*dormouse.Plane](), "Activity", ownWork},
	{reflect.TypeFor[*dormouse.Plane](), "Forget Owners Processes PutOwner", operators},
	{
		reflect.TypeFor[*dormouse.Tx](), "Create Delete Extend Get Hold PutTemplate Restart SetSchedule SetTTL Start Stop Update Wake",
		"TestOtherOrganizationsWithinATransaction",
	},
	{reflect.TypeFor[*dormouse.Tx](), "Enqueue", ownWork},
	{reflect.TypeFor[*dormouse.Tx](), "PutOwner", operators},
	{reflect.TypeFor[dormouse.Remote](), "AcquireJob End Renew", "TestRemoteOfAnotherOrganization"},
	{reflect.TypeFor[acquirer.View](), "Cancel Explain Job Lines", "TestViewOfAnotherOrganization"},
	{reflect.TypeFor[acquirer.View](), "Attempts Count List Retry", "TestViewOperates"},
	{reflect.TypeFor[acquirer.Remote](), "AcquireJob", "TestIdentityOfARemoteWorker"},
	{reflect.TypeFor[acquirer.Remote](), "End Renew", "TestForgedHandoutsHaveNoEffect"},
	{reflect.TypeFor[*acquirer.Acquirer](), "End EndJobs Renew", "TestForgedHandoutsHaveNoEffect"},
	{reflect.TypeFor[*acquirer.Acquirer](), "AcquireJob AcquireJobs Announce Demand Enqueue EnqueueTx Jobs Judge Lost Remote Watch Within", ownWork},
	{reflect.TypeFor[*acquirer.Acquirer](), "Able Attempts Cancel Count Explain List Pause Resume Retry", operators},
	{reflect.TypeFor[executor.View](), "Load Update", "TestAViewOfAFailingStore"},
	{reflect.TypeFor[executor.View](), "Explain", "TestViewExplainsItsOwn"},
	{reflect.TypeFor[*executor.Client](), "Activity CommitWith Record Within", ownWork},
	{reflect.TypeFor[*executor.Client](), "Apply Explain Load Plan Update", operators},
	{reflect.TypeFor[*executor.Executor](), "Activity CommitWith Record Within", ownWork},
	{reflect.TypeFor[*executor.Executor](), "Apply Explain Load Plan Update", operators},
	{reflect.TypeFor[*prewarm.Pool](), "KeepAlive Return Work", "TestIdsOfAnotherPool"},
	{reflect.TypeFor[*workspaces.Workspaces](), "Create Destroy Mark Members PutMembers", engines},
	{reflect.TypeFor[*workerpool.Pool](), `ExplainJob ExplainWorker KillJob KillWorker SetIdleBehavior Shutdown StartJob StartJobOn Worker WorkerOf`, ofMachines},
	{reflect.TypeFor[*jobqueue.Queue](), "Record", "a machine that speaks of others' jobs is tried through a pool: TestMachinesThatLie"},
	{reflect.TypeFor[*planesource.Source](), "Act Owned Templates Workspace", "TestOrganizations"},
	{reflect.TypeFor[*planesource.Source](), "Builds Marks Sessions", "the pages ask it about workspaces that it has shown them"},
	{reflect.TypeFor[*planesource.Journal](), "Marks Record Sessions Used", ownWork},
	{reflect.TypeFor[store.Store](), "Ahead CountJobs ListJobs Jobs Ready", "organizationsReading"},
	{reflect.TypeFor[store.Store](), "Cancel Claim End PauseJobs Renew ResumeJobs RetryJobs", "organizationsWriting"},
	{reflect.TypeFor[store.Store](), "Enqueue", "twoOrganizations"},
	{reflect.TypeFor[store.Store](), "CountStatuses FleetBuilds List Templates", "testListsOfOrganizations"},
	{reflect.TypeFor[store.Store](), "Members PutMembers", "memberPutOfAnotherPool"},
	{reflect.TypeFor[store.Store](), "Commit", "testOrganizationStays"},
	{reflect.TypeFor[store.Store](), `Attempts Builds CommitMembers CreateWorkspaces Due Heartbeat Lines Load Owner Owners Processes PutOwner PutTemplate
		Reap Reassign Recording Template`, engines},
}

// Every method that takes an id, or something with an id in it, is guarded by a test that calls it with those of two organizations, or
// has a reason to be guarded by none.
func TestIDsAreGuarded(t *testing.T) {
	tests := functions(t, "_test.go", ".", "acquirer", "lifecycle/executor", "prewarm", "webui/planesource")
	for name, text := range functions(t, ".go", "store/storetest") {
		tests[name] = text
	}
	known, types := map[string]bool{}, map[reflect.Type]bool{}
	for _, g := range guarded {
		types[g.of] = true
		for _, method := range strings.Fields(g.methods) {
			if known[fullName(g.of)+"."+method] {
				t.Errorf("%s.%s is guarded twice", g.of, method)
			}
			known[fullName(g.of)+"."+method] = true
			if _, ok := g.of.MethodByName(method); !ok {
				t.Errorf("%s has no method %s", g.of, method)
			}
			call := regexp.MustCompile(`(?i)\.` + method + `\(`)
			if !strings.Contains(g.guard, " ") && !call.MatchString(tests[g.guard]) {
				t.Errorf("%s does not call %s.%s", g.guard, g.of, method)
			}
		}
	}
	for of := range types {
		for m := range of.Methods() {
			if takesID(of, m) && !known[fullName(of)+"."+m.Name] {
				t.Errorf("nothing says what guards the ids that %s.%s takes", of, m.Name)
			}
		}
	}
}

// module is the path of this module.
var module = reflect.TypeFor[dormouse.Plane]().PkgPath()

// fullName is the name of a type, or of what it points to, with the path of its package: two packages have a Remote each.
func fullName(of reflect.Type) string {
	if of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	return of.PkgPath() + "." + of.Name()
}

// Types whose methods take ids are all in the table.
func TestGuardedTypesAreAll(t *testing.T) {
	known := map[string]bool{}
	for _, g := range guarded {
		known[fullName(g.of)] = true
	}
	found := 0
	for _, folder := range []string{".", "acquirer", "lifecycle/executor", "prewarm", "prewarm/workspaces", "workerpool", "workerpool/jobqueue", "webui/planesource"} {
		for _, file := range parsed(t, folder, ".go") {
			for _, d := range file.Decls {
				f, ok := d.(*ast.FuncDecl)
				if !ok || f.Recv == nil || !f.Name.IsExported() || !strings.Contains(spelled(f.Type.Params), "uuid.UUID") || !strings.Contains(spelled(f.Type.Params), "context.Context") {
					continue
				}
				if of := spelled(f.Recv); ast.IsExported(of) {
					if found++; !known[path.Join(module, folder)+"."+of] {
						t.Errorf("%s: nothing says what guards the ids that %s.%s takes", folder, of, f.Name)
					}
				}
			}
		}
	}
	if found < 30 {
		t.Errorf("only %d methods were found", found)
	}
}

// spelled are the types of a list of parameters, in short.
func spelled(list *ast.FieldList) string {
	var b strings.Builder
	for _, field := range list.List {
		ast.Inspect(field.Type, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok {
					b.WriteString(x.Name + "." + n.Sel.Name + " ")
				}
				return false
			case *ast.Ident:
				b.WriteString(n.Name + " ")
			}
			return true
		})
	}
	return strings.TrimSpace(b.String())
}

// takesID reports whether an argument of a method is an id, or has one in it.
func takesID(of reflect.Type, m reflect.Method) bool {
	first := 1 // behind the receiver
	if of.Kind() == reflect.Interface {
		first = 0
	}
	for i := first; i < m.Type.NumIn(); i++ {
		if holdsID(m.Type.In(i), map[reflect.Type]bool{}) {
			return true
		}
	}
	return false
}

var ids = map[reflect.Type]bool{reflect.TypeFor[uuid.UUID](): true, reflect.TypeFor[workerpool.InstanceID](): true, reflect.TypeFor[workerpool.JobID](): true}

func holdsID(t reflect.Type, seen map[reflect.Type]bool) bool {
	if ids[t] || seen[t] {
		return ids[t]
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return holdsID(t.Elem(), seen)
	case reflect.Map:
		return holdsID(t.Key(), seen) || holdsID(t.Elem(), seen)
	case reflect.Struct:
		for f := range t.Fields() {
			if f.IsExported() && holdsID(f.Type, seen) {
				return true
			}
		}
	}
	return false
}

// functions are the texts of the functions of some folders, by name.
func functions(t *testing.T, suffix string, folders ...string) map[string]string {
	texts := map[string]string{}
	for _, folder := range folders {
		for path, file := range parsed(t, folder, suffix) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range file.Decls {
				if f, ok := d.(*ast.FuncDecl); ok {
					texts[f.Name.Name] += string(text[f.Pos()-file.FileStart : f.End()-file.FileStart])
				}
			}
		}
	}
	return texts
}

// parsed are the files of a folder, by their paths.
func parsed(t *testing.T, folder, suffix string) map[string]*ast.File {
	paths, err := filepath.Glob(filepath.Join(folder, "*"+suffix))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %d files, %v", folder, len(paths), err)
	}
	files := map[string]*ast.File{}
	for _, path := range paths {
		if suffix == ".go" && strings.HasSuffix(path, "_test.go") {
			continue
		}
		if files[path], err = parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution); err != nil {
			t.Fatal(err)
		}
	}
	return files
}
