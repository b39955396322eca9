package imagestore

// A State says how an image stands.
type State string

const (
	Missing    State = "missing"    // somebody has described it, and there is no file
	Arriving   State = "arriving"   // its file is still being written
	Processing State = "processing" // its file is being read, hashed and indexed
	Ready      State = "ready"      //
	Locked     State = "locked"     // ready, and in use by its Holders
	Damaged    State = "damaged"    // its file is not what it should be; Problem says what is wrong and what to do
)

// A Standing is how one name stands in a repository.
type Standing struct {
	Repository  string   `json:"repository"`
	Name        string   `json:"name"`
	State       State    `json:"state"`
	Done, Total int64    `json:"-"`                  // bytes of the file, while Arriving (Total may be 0: not known) and Processing
	Revision    int      `json:"revision,omitempty"` // the current one, 0 when there is none yet
	Problem     string   `json:"problem,omitempty"`
	Holders     []string `json:"holders,omitempty"`
}
