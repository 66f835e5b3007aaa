/* What runs: our version and those of the libraries that decide how it behaves. */
#include "versions.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <librdkafka/rdkafka.h>
#include <luajit.h>
#include <stdio.h>
#include <yaml.h>

void versions_read(struct versions *versions)
{
	*versions = (struct versions){0};
	snprintf(versions->millrace, sizeof versions->millrace, "%s", MILLRACE_VERSION);
	snprintf(versions->revision, sizeof versions->revision, "%s", MILLRACE_REVISION);
	snprintf(versions->luajit, sizeof versions->luajit, "%s", LUAJIT_VERSION);
	snprintf(versions->librdkafka, sizeof versions->librdkafka, "%s", rd_kafka_version_str());
	snprintf(versions->libcurl, sizeof versions->libcurl, "%s",
	        curl_version_info(CURLVERSION_NOW)->version);
	snprintf(versions->libevent, sizeof versions->libevent, "%s", event_get_version());
	snprintf(versions->libyaml, sizeof versions->libyaml, "%s", yaml_get_version_string());
}
