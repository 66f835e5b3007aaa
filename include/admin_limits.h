/* The admin port's pages on limits: `/-/limits` shows and sets them, `/-/pause` and `/-/resume` hold intake.
 */
#ifndef MILLRACE_ADMIN_LIMITS_H
#define MILLRACE_ADMIN_LIMITS_H

#include "admin.h"
#include "governor.h"

void admin_limits_route(struct admin *admin, struct governor *governor); /* borrows both */

#endif
