package fetch

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"aula/clientos/protocol"
)

// failure makes a Failure, whose stage is filled in by who knows it.
func failure(code int, problem, advice string, cause error) *protocol.Failure {
	f := &protocol.Failure{Code: code, Problem: problem, Advice: advice}
	if cause != nil {
		f.Detail = cause.Error()
	}
	return f
}

// diskFailure is what is said when a file of the cache cannot be made.
func diskFailure(path string, err error) error {
	if err == nil {
		return nil
	}
	var already *protocol.Failure
	switch {
	case errors.As(err, &already):
		return err
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return failure(protocol.ErrCacheSize, fmt.Sprintf("no room for %s: its disk is full", path),
			"remove images from the computer's cache, then start again: what has come is kept", err)
	}
	return failure(protocol.ErrUpdate, fmt.Sprintf("%s cannot be written: %v", path, err),
		"look at the computer's disk and its SMART state; format the cache partition anew if it is damaged", err)
}
