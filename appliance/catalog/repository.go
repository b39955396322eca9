package catalog

// A Repository is a folder of images beside the first one, which is in the configuration file. It is opened by appliance/upkeep.
type Repository struct {
	Name       string `json:"name"`                 // canonical, like an image's
	Dir        string `json:"dir"`                  // absolute path of the folder
	Address    string `json:"address,omitempty"`    // of this machine, at which PCs fetch from it; empty for the appliance's own
	Keep       int    `json:"keep"`                 // revisions kept before the current one
	TrashDays  int    `json:"trashDays"`            // how long a removed image can be brought back; 0 removes at once
	ReserveMiB int64  `json:"reserveMiB,omitempty"` // left free on the volume
	Comments   string `json:"comments,omitempty"`
}
