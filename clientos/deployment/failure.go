package deployment

import (
	"cmp"
	"errors"

	"aula/clientos/disk"
	"aula/clientos/protocol"
)

// failed is a failure at the stage that the work is at.
func (w *work) failed(code int, problem, advice string) *protocol.Failure {
	return &protocol.Failure{Code: code, Stage: w.at(), Problem: problem, Advice: advice}
}

// explain turns what went wrong into a failure.
func (w *work) explain(err error) *protocol.Failure {
	if f, ok := errors.AsType[*protocol.Failure](err); ok {
		told := *f
		told.Stage = cmp.Or(f.Stage, w.at())
		return &told
	}
	f := w.failed(protocol.ErrGeneric, err.Error(), "start the operation again")
	if e, ok := errors.AsType[*disk.Error](err); ok {
		f.Code, f.Problem, f.Advice, f.Detail = codeOf(e), e.Error(), cmp.Or(e.Advice, f.Advice), e.Detail
	}
	return f
}

// codeOf is OpenGnsys' number for what is wrong with a disk.
func codeOf(e *disk.Error) int {
	switch e.Kind {
	case disk.TooSmall:
		return protocol.ErrSize
	case disk.InUse:
		return protocol.ErrLocked
	case disk.Missing, disk.Differs:
		return protocol.ErrNotFound
	}
	return protocol.ErrPartition
}

// codeIs tells whether an error is a failure of one of these numbers.
func codeIs(err error, codes ...int) bool {
	f, ok := errors.AsType[*protocol.Failure](err)
	if !ok {
		return false
	}
	for _, code := range codes {
		if f.Code == code {
			return true
		}
	}
	return false
}
