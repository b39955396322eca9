package imagestore

import "errors"

// Take makes the file at path (absolute; the appliance's own, closed) the staged image. On the same volume nothing is copied.
// The file stays at path until Publish has succeeded, and is removed then. After Take, Publish may be given the digest "": nobody
// sent the bytes.
func (s *Staging) Take(path string) error { return errors.New("not yet") }
