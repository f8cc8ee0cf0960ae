package api_test

import (
	"database/sql"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dormouse-go/dormouse/examples/controlplane/api"
	"github.com/dormouse-go/dormouse/examples/controlplane/auth"
	"github.com/dormouse-go/dormouse/examples/controlplane/records"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/memory"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
	"github.com/dormouse-go/dormouse/store/sqlite"
)

// strange are values of parameters that no route should be hurt by: numbers, instants, ids and places of a list that cannot be, and
// texts that a database may refuse.
var strange = []string{
	"", " ", "0", "-0", "-1", "+1", "1e3", "0x10", "1.5", "1001", "2147483646", "2147483647", "2147483648", "-2147483648", "9223372036854775806", "9223372036854775807",
	"9223372036854775808", "-9223372036854775808", strings.Repeat("9", 400),
	"0000-01-01T00:00:00+23:59", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59-23:59", "10000-01-01T00:00:00Z",
	uuid.Nil.String(), uuid.Max.String(), "urn:uuid:" + uuid.Max.String(), "{" + uuid.Max.String() + "}", strings.ReplaceAll(uuid.Max.String(), "-", ""), strings.Repeat("x", 36),
	"0000-01-01T00:00:00+23:59/" + uuid.Nil.String(), "0001-01-01T00:00:00Z/" + uuid.Nil.String(), "9999-12-31T23:59:59-23:59/" + uuid.Max.String(), "/" + uuid.Max.String(),
	"\x00", "a\x00b", "\xff\xfe", "\xed\xa0\x80", "\u202e", "\x1b[2J", "a\r\nb: c", "%", "_", "a%", "\\", "';--", "../../etc/passwd", "*", "<script>", strings.Repeat("x", 2000), strings.Repeat("ä", 65),
}

// parameters are the names of what an operation takes in its path and behind it.
func parameters(t *testing.T) map[string][]string {
	var file struct {
		Paths map[string]map[string]struct {
			Parameters []struct{ In, Name string }
		}
	}
	text, err := os.ReadFile("openapi.json")
	must(t, err)
	must(t, json.Unmarshal(text, &file))
	all := map[string][]string{}
	for path, methods := range file.Paths {
		for method, operation := range methods {
			pattern := strings.ToUpper(method) + " " + path
			for _, p := range operation.Parameters {
				if p.In == "query" {
					all[pattern] = append(all[pattern], "?"+p.Name)
				}
			}
			all[pattern] = append(all[pattern], parameter.FindAllString(path, -1)...)
		}
	}
	return all
}

// address is a path with one parameter that is strange.
func (g *target) address(path, name, value string) string {
	fill := strings.NewReplacer("/workspaces/{id}", "/workspaces/"+g.ws.ID.String(), "{number}", "1", "{name}", "web", "{id}", uuid.Nil.String())
	if query, ok := strings.CutPrefix(name, "?"); ok {
		return "/api/v1" + fill.Replace(path) + "?" + url.Values{query: {value}}.Encode()
	}
	return "/api/v1" + fill.Replace(strings.Replace(path, name, url.PathEscape(value), 1))
}

// Whatever stands in an address, each store answers the same, and never with a failure.
func TestStrangeAddresses(t *testing.T) {
	taken := parameters(t)
	codes := map[string]int{}
	for _, name := range []string{"memory", "sqlite", "postgres"} {
		t.Run(name, func(t *testing.T) {
			g := newTargetOver(t, name)
			for pattern, names := range taken {
				method, path, _ := strings.Cut(pattern, " ")
				if path == "/events" {
					method = http.MethodHead // does not wait for what happens
				}
				for _, parameter := range names {
					for _, value := range strange {
						address := g.address(path, parameter, value)
						w := g.call(g.admin, method, address, "")
						what := method + " " + address
						g.seen(what, w.Code, w.Body.String())
						if want, ok := codes[pattern+parameter+value]; ok && w.Code != want {
							t.Errorf("%s: %d %s, the store in memory answers %d", what, w.Code, w.Body, want)
						}
						codes[pattern+parameter+value] = w.Code
					}
				}
			}
		})
	}
	if len(codes) < 1000 {
		t.Errorf("only %d addresses", len(codes))
	}
}

// newTargetOver is a target over a store, and tables in the same database where it has any.
func newTargetOver(t *testing.T, name string) *target {
	var s store.Store = memory.New()
	tables := func(*api.Config) {}
	switch name {
	case "sqlite":
		path := filepath.Join(t.TempDir(), "dormouse.db")
		db, err := sqlite.Open("sqlite", path)
		must(t, err)
		t.Cleanup(func() { _ = db.Close() })
		s, err = sqlite.New(db, sqlite.Config{})
		must(t, err)
	case "postgres":
		pool := pgtest.Empty(t)
		var err error
		s, err = postgres.New(pool, postgres.Config{})
		must(t, err)
		tables = keptIn(t, stdlib.OpenDBFromPool(pool))
	}
	must(t, s.Migrate(t.Context()))
	return newTargetOf(newServiceOver(t, s, tables, func(c *api.Config) { c.MaxWorkspaces = 1 << 30 }))
}

// keptIn keeps the tables of the control plane in a database of PostgreSQL.
func keptIn(t *testing.T, db *sql.DB) func(*api.Config) {
	t.Cleanup(func() { _ = db.Close() })
	return func(c *api.Config) {
		c.Records = records.New(db, true)
		must(t, c.Records.Migrate(t.Context()))
		c.Keeper = auth.NewKeeper(c.Records)
	}
}
