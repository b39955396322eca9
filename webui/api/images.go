package api

import "time"

// Image is one image of a repository: how it stands, what people say of it and, when it has a file, what its current revision is.
type Image struct {
	Name       string   `json:"name" doc:"Canonical: the file's name without .img"`
	Repository string   `json:"repository"`
	State      string   `json:"state" enum:"missing,arriving,processing,ready,locked,damaged"`
	Done       int64    `json:"done,omitempty" doc:"Bytes of the file, while arriving or processing"`
	Total      int64    `json:"total,omitempty" doc:"Bytes of the file; 0 when not known"`
	Problem    string   `json:"problem,omitempty" doc:"What is wrong with it and what to do"`
	Warnings   []string `json:"warnings,omitempty" doc:"What people should know of an image that can be used"`
	Holders    []string `json:"holders,omitempty" doc:"What is using it"`

	DisplayName   string `json:"displayName,omitempty"`
	Profile       string `json:"profile,omitempty" doc:"Software profile"`
	Partition     int    `json:"partition,omitempty" doc:"As people say, else that which it was made from"`
	PartitionType string `json:"partitionType,omitempty" doc:"OpenGnsys' name"`
	Comments      string `json:"comments,omitempty"`
	// Said is only what people said, without what is known from the file: change it and send it back to describe the image.
	Said ImageText `json:"said" doc:"Only what people said: what PUT sets"`

	Revision      int       `json:"revision,omitempty" doc:"The current one; left out, like all that follows, when there is no file"`
	Info          string    `json:"info,omitempty" doc:"OpenGnsys' line" example:"PARTCLONE:LZOP:NTFS:72100000"`
	Tool          string    `json:"tool,omitempty" example:"PARTCLONE"`
	Compressor    string    `json:"compressor,omitempty" example:"ZSTD"`
	Filesystem    string    `json:"filesystem,omitempty" example:"NTFS"`
	RequiredBytes int64     `json:"requiredBytes,omitempty" doc:"Size that the target partition or disk must have"`
	UsedBytes     int64     `json:"usedBytes,omitempty" doc:"Bytes that restoring writes"`
	FileBytes     int64     `json:"fileBytes,omitempty" doc:"Size of the image file"`
	MD5           string    `json:"md5,omitempty"`
	Blake3        string    `json:"blake3,omitempty"`
	Created       time.Time `json:"created,omitzero"`
	Verified      time.Time `json:"verified,omitzero" doc:"When it was last read whole and found good"`
	Computer      string    `json:"computer,omitempty" doc:"PC that it was captured on"`
	Disk          int       `json:"disk,omitempty" doc:"That it was made from"`
	Set           string    `json:"set,omitempty" doc:"Common name of the images of one disk"`
	System        string    `json:"system,omitempty" doc:"What it was imported from" example:"FOG"`
	HasLayout     bool      `json:"hasLayout,omitempty" doc:"Whether the layout of its disk is kept beside it"`
}

// Revision is one state of an image.
type Revision struct {
	Revision   int       `json:"revision"`
	Current    bool      `json:"current"`
	Info       string    `json:"info"`
	FileBytes  int64     `json:"fileBytes"`
	UsedBytes  int64     `json:"usedBytes"`
	MD5        string    `json:"md5"`
	Blake3     string    `json:"blake3"`
	Created    time.Time `json:"created"`
	Verified   time.Time `json:"verified,omitzero"`
	Computer   string    `json:"computer,omitempty"`
	Compressor string    `json:"compressor"`
}

// ImageText is what people say of an image.
type ImageText struct {
	DisplayName   string `json:"displayName,omitempty" maxLength:"128"`
	Profile       string `json:"profile,omitempty" maxLength:"256" doc:"Software profile"`
	Partition     int    `json:"partition,omitempty" minimum:"0" maximum:"128" doc:"0 when not known"`
	PartitionType string `json:"partitionType,omitempty" maxLength:"32" doc:"OpenGnsys' name, such as NTFS, LINUX or EFI"`
	Repository    string `json:"repository,omitempty" maxLength:"128" doc:"Where its file is expected; the first one when left out"`
	Comments      string `json:"comments,omitempty" maxLength:"4096"`
}

// NewImage registers an image whose file may come later.
type NewImage struct {
	Name string `json:"name" minLength:"1" maxLength:"256" doc:"Letters, digits, _ . and -, at most 128"`
	ImageText
}

// Conversion packs an image anew.
type Conversion struct {
	Compressor string `json:"compressor" enum:"ZSTD,LZOP,GZIP,NONE" doc:"ZSTD is our own form; the others are for other systems"`
	Level      int    `json:"level,omitempty" minimum:"0" maximum:"22" doc:"Of the compressor, its default when left out"`
	Revision   int    `json:"revision,omitempty" minimum:"0" doc:"The current one when left out"`
	NewName    string `json:"newName,omitempty" maxLength:"256" doc:"Of the new image; left out, it becomes the next revision of the same"`
}

// Destination says where an image is copied or moved.
type Destination struct {
	Repository string `json:"repository" minLength:"1" maxLength:"128"`
	Revision   int    `json:"revision,omitempty" minimum:"0" doc:"Only when copying; the current one when left out"`
}

// Verification says what is verified.
type Verification struct {
	Revision int `json:"revision,omitempty" minimum:"0" doc:"The current one when left out"`
}

// Trashed is a removed image that can be brought back.
type Trashed struct {
	ID         string    `json:"id"`
	Repository string    `json:"repository"`
	Name       string    `json:"name"`
	Removed    time.Time `json:"removed"`
	Expires    time.Time `json:"expires" doc:"When it is removed for good"`
	Revisions  []int     `json:"revisions"`
	Bytes      int64     `json:"bytes" doc:"That discarding it sets free"`
}

// Removed is what became of a removed image.
type Removed struct {
	Trash *Trashed `json:"trash,omitempty" doc:"What can be brought back; left out when nothing can: the repository has no trash, or there was no file"`
}
