package rendercache

import (
	"errors"
	"fmt"
)

var (
	// ErrNoStore is returned by a render together with a value that is good for those who wait for it but must not be
	// kept, because it is incomplete, for example. It may be wrapped. Callers of the cache get the value and no error.
	ErrNoStore = errors.New("rendercache: do not keep this value")

	// ErrClosed is the cause of the cancellation that renders see when the cache is closed, and wrapped by the error of
	// callers whose render failed because of it. Handles return it from Acquire once they are closed.
	ErrClosed = errors.New("rendercache: closed")

	// ErrAbandoned is the cause of the cancellation that a render sees when no caller waits for it any more.
	ErrAbandoned = errors.New("rendercache: every caller has left")

	// ErrGoexit is the error of callers whose render ended its goroutine by runtime.Goexit, as t.FailNow does.
	ErrGoexit = errors.New("rendercache: render called runtime.Goexit")

	// ErrRecursive is returned to a render that asks for the key that it is rendering, directly or through renders that
	// it has started: waiting would never end.
	ErrRecursive = errors.New("rendercache: render waits for itself")
)

// PanicError is the error of every caller whose render panicked. The panic itself ends there, because it belongs to the
// goroutine of no single caller.
type PanicError struct {
	// Value is what the render panicked with.
	Value any
	// Stack is the stack of the panicking goroutine, as by debug.Stack.
	Stack []byte
}

// Error implements error. The text has the panic's value but not the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("rendercache: render panicked: %v", e.Value) }

// Unwrap returns the panic's value when that is an error, so that errors.Is and errors.As see it.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
