package api

import "time"

// Task is long work on repositories.
type Task struct {
	ID         string    `json:"id"`
	Kind       string    `json:"kind" enum:"import,convert,copy,move,verify"`
	Actor      string    `json:"actor"`
	Title      string    `json:"title" example:"Convert win10 to LZOP"`
	Repository string    `json:"repository,omitempty"`
	Image      string    `json:"image,omitempty"`
	State      string    `json:"state" enum:"running,done,failed,cancelled"`
	Stage      string    `json:"stage,omitempty" doc:"For people"`
	Done       int64     `json:"done" doc:"Bytes"`
	Total      int64     `json:"total" doc:"Bytes; 0 when not known yet"`
	Problem    string    `json:"problem,omitempty"`
	Results    []string  `json:"results,omitempty" doc:"What came of it, for people"`
	Warnings   []string  `json:"warnings,omitempty"`
	Started    time.Time `json:"started"`
	Ended      time.Time `json:"ended,omitzero"`
}

// Over reports whether the task has ended.
func (t Task) Over() bool { return t.State != "running" }

// Import says what is taken in: paths on the appliance, which only its administrator may name, or an upload.
type Import struct {
	Paths      []string `json:"paths,omitempty" maxItems:"10000" doc:"One file, the volumes of one image, or one directory; absolute"`
	Upload     string   `json:"upload,omitempty" maxLength:"64" doc:"Id of a complete upload, in place of paths"`
	Repository string   `json:"repository,omitempty" maxLength:"128" doc:"The first one when left out"`
	Name       string   `json:"name,omitempty" maxLength:"256" doc:"Canonical name; made from the files' names when left out"`
}

// ImportPlan is what an import would do.
type ImportPlan struct {
	System   string         `json:"system" doc:"What was recognised" example:"Clonezilla"`
	Images   []PlannedImage `json:"images"`
	Warnings []string       `json:"warnings,omitempty" doc:"What does not come along, and what that means"`
}

// PlannedImage is one image that an import would make.
type PlannedImage struct {
	Name      string `json:"name"`
	Disk      int    `json:"disk,omitempty"`
	Partition int    `json:"partition,omitempty"`
	Set       string `json:"set,omitempty"`
	Bytes     int64  `json:"bytes" doc:"To be read"`
	HasLayout bool   `json:"hasLayout,omitempty"`
}

// Repository is a folder of images.
type Repository struct {
	RepositoryText
	First   bool   `json:"first,omitempty" doc:"Set in the configuration file, not here"`
	Images  int    `json:"images"`
	Free    int64  `json:"free" doc:"Bytes that images may still fill"`
	Size    int64  `json:"size" doc:"Bytes of its volume"`
	Problem string `json:"problem,omitempty" doc:"Why it cannot be used now"`
}

// RepositoryText is what is set of a repository. Its folder is set once.
type RepositoryText struct {
	Name       string `json:"name,omitempty" maxLength:"256"`
	Dir        string `json:"dir,omitempty" maxLength:"4096" doc:"Absolute path of a folder on the appliance"`
	Address    string `json:"address,omitempty" maxLength:"64" doc:"IPv4 address of the appliance at which PCs fetch from it; its own one when left out"`
	Keep       int    `json:"keep" minimum:"0" maximum:"1000" doc:"Revisions kept before the current one"`
	TrashDays  int    `json:"trashDays" minimum:"0" maximum:"3650" doc:"How long a removed image can be brought back; 0 removes at once"`
	ReserveMiB int64  `json:"reserveMiB,omitempty" minimum:"0" doc:"Left free on its volume"`
	Comments   string `json:"comments,omitempty" maxLength:"4096"`
}

// Upload is files that are being sent, which belong together.
type Upload struct {
	ID       string       `json:"id"`
	By       string       `json:"by"`
	Begun    time.Time    `json:"begun"`
	Expires  time.Time    `json:"expires" doc:"When it is forgotten unless somebody goes on with it"`
	Files    []UploadFile `json:"files"`
	Complete bool         `json:"complete"`
}

// UploadFile is one file of an upload.
type UploadFile struct {
	Path string `json:"path" doc:"A name, or FOLDER/NAME when a folder is sent"`
	Size int64  `json:"size"`
	Have int64  `json:"have" doc:"Bytes that have arrived"`
}

// NewUpload begins an upload.
type NewUpload struct {
	Files []NewUploadFile `json:"files" minItems:"1" maxItems:"10000"`
}

// NewUploadFile is one file of an upload to be.
type NewUploadFile struct {
	Path string `json:"path" minLength:"1" maxLength:"4096"`
	Size int64  `json:"size" minimum:"0"`
}

// Arrived tells how far a file of an upload has got. It is also what a piece is answered with that did not begin there (409).
type Arrived struct {
	Have int64 `json:"have" doc:"Bytes; the next piece begins here"`
}
