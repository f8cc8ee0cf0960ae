//go:build linux

package main

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/examples/controlplane/records"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/sqlite"
)

// database is the store, the host's tables beside it, and what tells other replicas of new jobs.
type database struct {
	store   store.Store
	records *records.DB
	pubsub  acquirer.Pubsub // nil with SQLite
	close   func()
}

// openDatabase opens PostgreSQL if it is named, and otherwise a file in the folder.
func openDatabase(ctx context.Context, o options) (database, error) {
	if o.database != "" {
		return openPostgres(ctx, o.database)
	}
	path := filepath.Join(o.data, "plane.db")
	db, err := sqlite.Open("sqlite", path)
	if err != nil {
		return database{}, err
	}
	s, err := sqlite.New(db, sqlite.Config{})
	if err != nil {
		return database{}, err
	}
	ours, err := records.OpenSQLite(path)
	if err != nil {
		return database{}, err
	}
	return database{store: s, records: records.New(ours, false), close: func() {
		_ = ours.Close()
		_ = db.Close()
	}}, nil
}

func openPostgres(ctx context.Context, dsn string) (database, error) {
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return database{}, fmt.Errorf("-database cannot be read") // the driver's error may show the password
	}
	s, err := postgres.New(pool, postgres.Config{})
	if err != nil {
		return database{}, err
	}
	pubsub, err := postgres.NewPubsub(pool, postgres.Config{})
	if err != nil {
		return database{}, err
	}
	db := stdlib.OpenDBFromPool(pool)
	return database{store: s, records: records.New(db, true), pubsub: pubsub, close: func() {
		_ = pubsub.Close(context.WithoutCancel(ctx))
		closeBoth(db, pool)
	}}, nil
}

func closeBoth(db *sql.DB, pool *pgxpool.Pool) {
	_ = db.Close()
	pool.Close()
}
