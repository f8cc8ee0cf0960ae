package auth_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dormouse-go/dormouse/examples/controlplane/auth"
	"github.com/dormouse-go/dormouse/examples/controlplane/records"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// A token of bytes that no database takes is unknown like any other: it is no failure of the service, which would be told to the log
// each time, and counts as a guess.
func TestTokensThatCannotBe(t *testing.T) {
	db := stdlib.OpenDBFromPool(pgtest.Empty(t))
	t.Cleanup(func() { _ = db.Close() })
	tables := records.New(db, true)
	if err := tables.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	keeper := auth.NewKeeper(tables)
	for _, token := range []string{"", "plane_", "plane__x", "plane_\xff_x", "plane_a\x00b_x", "plane_Ä_x", "plane_nobody_x", "plane_nobody_\xff"} {
		if who, err := keeper.Of(t.Context(), token); !errors.Is(err, auth.ErrUnknown) {
			t.Errorf("%q: %+v, %v", token, who, err)
		}
	}
	if was, err := keeper.End(t.Context(), "\xff"); was || err != nil {
		t.Errorf("end: %v, %v", was, err)
	}
	id, token, err := keeper.Issue(t.Context(), auth.Owner, "ann", auth.Work{})
	if err != nil {
		t.Fatal(err)
	}
	if who, err := keeper.Of(t.Context(), token); err != nil || who.Token != id || who.Name != "ann" {
		t.Errorf("%+v, %v", who, err)
	}
}
