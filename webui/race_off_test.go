//go:build !race

package webui_test

const raced = false
