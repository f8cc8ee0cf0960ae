//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/template"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/examples/controlplane/provision"
	"github.com/dormouse-go/dormouse/examples/controlplane/records"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/lifecycle/templatebuilder"
	"github.com/dormouse-go/dormouse/rendercache"
)

// source is a template version as all renders of it share it: parsed once.
type source struct {
	records.Version
	parsed *template.Template
}

// builders make the orders of builds: of each template version the source is read and parsed once for a group, and what it is for one
// owner and one set of parameters is rendered once.
type builders struct {
	executor.Builder
	handles *templatebuilder.Handles[source]
	cache   *rendercache.Cache[rendercache.Key, string]
}

func newBuilders(db *records.DB) (*builders, error) {
	handles, err := rendercache.NewHandles(rendercache.HandlesConfig[uuid.UUID, source]{})
	if err != nil {
		return nil, err
	}
	cache, err := rendercache.New(rendercache.Config[rendercache.Key, string]{
		MaxWeight: 64 << 20, Weigh: func(_ rendercache.Key, s string) int64 { return int64(len(s)) }, MaxConcurrentRenders: 16,
	})
	if err != nil {
		return nil, err
	}
	b := &builders{handles: handles, cache: cache}
	b.Builder, err = templatebuilder.New(handles, templatebuilder.Memo[string](cache), templatebuilder.Config[source, string]{
		Fetch: func(ctx context.Context, version uuid.UUID) (source, error) { return fetch(ctx, db, version) },
		Render: func(_ context.Context, in templatebuilder.Input[source]) (string, error) {
			var out bytes.Buffer
			err := in.Shared.parsed.Execute(&out, in.Params)
			return out.String(), err
		},
		Build: func(ctx context.Context, r executor.BuildRequest, t templatebuilder.Template[string]) (executor.BuildSpec, error) {
			return describe(ctx, db, r, t)
		},
	})
	return b, err
}

func (b *builders) close() {
	b.cache.Close()
	b.handles.Close()
}

func fetch(ctx context.Context, db *records.DB, version uuid.UUID) (source, error) {
	v, err := versionOf(ctx, db, version)
	if err != nil {
		return source{}, err
	}
	parsed, err := template.New(v.Template).Option("missingkey=error").Funcs(template.FuncMap{"hcl": quoteHCL}).Parse(v.Source)
	return source{v, parsed}, err
}

func versionOf(ctx context.Context, db *records.DB, id uuid.UUID) (records.Version, error) {
	v, ok, err := db.Version(ctx, id)
	if err == nil && !ok {
		err = fmt.Errorf("template version %s is not kept", id)
	}
	return v, err
}

// quoteHCL writes a text as a string of HCL, in which nothing of it is code.
func quoteHCL(s string) string {
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(strconv.Quote(s))
}

// describe says what the job of a build carries.
func describe(ctx context.Context, db *records.DB, r executor.BuildRequest, t templatebuilder.Template[string]) (executor.BuildSpec, error) {
	version := r.Build.TemplateVersionID
	v, err := versionOf(ctx, db, version)
	if err != nil {
		return executor.BuildSpec{}, err
	}
	w := &r.Snapshot.Workspace
	order := provision.Order{
		Provisioner: v.Provisioner, Name: w.Name, Owner: r.Snapshot.Owner.Name,
		Again: r.Build.Transition == lifecycle.TransitionStart && !r.Snapshot.Build.RunSince.IsZero(),
	}
	if v.Provisioner == provision.Terraform {
		order.Main, err = t.Render(ctx, map[string]string{"id": w.ID.String(), "name": w.Name, "owner": r.Snapshot.Owner.Name})
		if err != nil {
			return executor.BuildSpec{}, err
		}
	}
	payload, err := json.Marshal(order)
	return executor.BuildSpec{Tags: v.Tags, Payload: payload}, err
}
