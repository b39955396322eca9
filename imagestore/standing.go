package imagestore

// A State says how an image stands.
type State string

const (
	Missing    State = "missing"    // somebody has described it, and there is no file; a repository never answers this
	Arriving   State = "arriving"   // its file is still being written
	Processing State = "processing" // its file is being read, hashed and indexed
	Ready      State = "ready"      //
	Locked     State = "locked"     // ready, and in use by its Holders
	Damaged    State = "damaged"    // its file is not what it should be; Problem says what is wrong and what to do
)

// A Standing is how one name stands in a repository.
type Standing struct {
	Repository  string   `json:"repository"`
	Name        string   `json:"name"` // not canonical when it is that of a file put into the folder, and its Problem
	State       State    `json:"state"`
	Done, Total int64    `json:"-"`                  // bytes of the file, while Arriving (Total may be 0: not known) and Processing
	Revision    int      `json:"revision,omitempty"` // the current one, 0 when there is none yet
	Problem     string   `json:"problem,omitempty"`
	Holders     []string `json:"holders,omitempty"`
	Warnings    []string `json:"warnings,omitempty"` // what people should know of an image that can be used
}

// Standings returns how every image stands, also those that are not published yet, by name.
func (r *Repository) Standings() []Standing {
	images, err := r.Images()
	if err != nil {
		return nil
	}
	var list []Standing
	for _, img := range images {
		if s, ok := r.Standing(img.Name); ok {
			list = append(list, s)
		}
	}
	return list
}

// Standing returns how one image stands, and whether the repository knows anything of that name.
func (r *Repository) Standing(name string) (Standing, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	revisions := r.images[name]
	if len(revisions) == 0 {
		return Standing{}, false
	}
	s := Standing{Repository: r.opt.Name, Name: name, State: Ready, Revision: revisions[len(revisions)-1].Revision}
	if s.Holders = r.holders(name); len(s.Holders) > 0 {
		s.State = Locked
	}
	return s, true
}
