// The console's own scripts. Pages work without them as plain forms.
import { listen } from "/assets/console/live.js";
import { select } from "/assets/console/select.js";
import { dialogs } from "/assets/console/dialog.js";
import { forms } from "/assets/console/forms.js";
import { uploads } from "/assets/console/upload.js";

dialogs(document);
forms(document);
select(document); // after forms, whose kept ticks it counts
uploads(document);
listen(document);
