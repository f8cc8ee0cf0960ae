package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// requirements are the modules that the root module needs itself, tests included. Whoever imports one package of it
// gets all of them into their go.sum, so the list grows only on purpose.
var requirements = []string{
	"github.com/coder/quartz",
	"github.com/google/uuid",
	"github.com/prometheus/client_golang",
	"github.com/robfig/cron/v3",
	"golang.org/x/sync",
}

func directRequirements() ([]string, error) {
	out, err := exec.Command("go", "mod", "edit", "-json").Output()
	if err != nil {
		return nil, fmt.Errorf("go mod edit: %w", err)
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		return nil, fmt.Errorf("go mod edit: %w", err)
	}
	var direct []string
	for _, r := range mod.Require {
		if !r.Indirect {
			direct = append(direct, r.Path)
		}
	}
	slices.Sort(direct)
	return direct, nil
}

func checkRequirements(have []string) []string {
	if slices.Equal(have, requirements) {
		return nil
	}
	return []string{fmt.Sprintf("the root module's direct requirements must be exactly\n\t%s\nbut are\n\t%s",
		strings.Join(requirements, "\n\t"), strings.Join(have, "\n\t"))}
}
