package disk

// A Kind says what sort of thing an Error is about, for callers that branch on it.
type Kind int

// Kinds of errors.
const (
	Tool     Kind = iota // a tool of the client OS failed or is missing
	Missing              // there is no such disk or partition
	Differs              // the disk is not, or may not be, the one that was named
	InUse                // something on the disk is mounted or claimed
	TooSmall             // the disk has not enough room
	BadTable             // the partition table or the layout cannot be used
	Access               // reading or writing the device failed
)

// An Error is about one disk or partition and says what the reader can do.
type Error struct {
	Kind    Kind
	Problem string // what happened, to what
	Advice  string
	Detail  string // a tool's own words, at most 4 KiB
	Err     error  // the cause, when there is one
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Problem + ": " + e.Err.Error()
	}
	return e.Problem
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
