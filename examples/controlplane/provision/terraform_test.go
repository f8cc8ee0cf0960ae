//go:build unix

package provision_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/examples/controlplane/provision"
)

// fake stands for terraform: it writes down what it was asked, and keeps a state.
const fake = `#!/bin/sh
echo "$@" >> "$FAKE_LOG"
case "$1" in
init) test -f main.tf ;;
apply) grep -q boom main.tf && { echo "Error: boom" >&2; exit 1; }; cp main.tf terraform.tfstate; echo "Apply complete" ;;
destroy) test -f terraform.tfstate && rm terraform.tfstate ;;
esac
`

func faked(t *testing.T) (s provision.Stacks, folder, log string) {
	t.Helper()
	bin := t.TempDir()
	folder, log = t.TempDir(), filepath.Join(bin, "log")
	if err := os.WriteFile(filepath.Join(bin, "terraform"), []byte(fake), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	t.Setenv("FAKE_LOG", log)
	binary := provision.TerraformBinary()
	if binary != filepath.Join(bin, "terraform") {
		t.Fatalf("found %q", binary)
	}
	return provision.NewStacks(folder, binary), folder, log
}

// A stack is applied with what runs and without, and destroyed; each may be repeated, and what is gone may be deleted again.
func TestStacks(t *testing.T) {
	s, folder, log := faked(t)
	id, order := uuid.New(), provision.Order{Provisioner: provision.Terraform, Main: "# rendered\n"}
	var said bytes.Buffer
	for range 2 {
		if _, err := s.Start(t.Context(), id, order, &said); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Stop(t.Context(), id, order, &said); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Delete(t.Context(), id, order, &said); err != nil {
			t.Fatal(err)
		}
	}
	asked, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for part, times := range map[string]int{"running=true": 2, "apply -auto-approve -input=false -no-color -var=running=false": 1, "destroy -auto-approve": 1} {
		if n := strings.Count(string(asked), part); n != times {
			t.Errorf("%q was asked %d times, want %d:\n%s", part, n, times, asked)
		}
	}
	if !strings.Contains(said.String(), "Apply complete") {
		t.Errorf("the log has %q", said.String())
	}
	if left, _ := os.ReadDir(filepath.Join(folder, "stacks")); len(left) != 0 {
		t.Errorf("after the deletion there is %v", left)
	}
}

func TestStackThatFails(t *testing.T) {
	s, _, _ := faked(t)
	var said bytes.Buffer
	_, err := s.Start(t.Context(), uuid.New(), provision.Order{Main: "boom"}, &said)
	if err == nil || !strings.Contains(said.String(), "Error: boom") {
		t.Errorf("%v; the log has %q", err, said.String())
	}
}

func TestNoTerraform(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if got := provision.TerraformBinary(); got != "" {
		t.Errorf("found %q", got)
	}
}
