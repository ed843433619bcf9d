import type { RestClient } from "../support/rest-client.ts";
import { waitFor } from "../support/wait-for.ts";
import type { BenchSite } from "./bench-site.ts";

interface Profile {
  readonly id: { readonly id: string };
  readonly profileData: { readonly alarms: readonly unknown[] | null };
}

/** On the profile of all devices; resolves when the edge has it. */
export async function setRules({ cloudApi, edgeApi }: BenchSite, alarms: readonly unknown[]): Promise<void> {
  const profile = await defaultProfile(cloudApi);
  await cloudApi.request("POST", "/api/deviceProfile", {
    ...profile,
    profileData: { ...profile.profileData, alarms },
  });
  const path = `/api/deviceProfile/${profile.id.id}`;
  await waitFor("the rules to be on the edge", async () => {
    const { profileData } = await edgeApi.request<Profile>("GET", path);
    return profileData.alarms?.length === alarms.length;
  });
}

async function defaultProfile(api: RestClient): Promise<Profile> {
  const { id } = await api.request<Profile>("GET", "/api/deviceProfileInfo/default");
  return api.request<Profile>("GET", `/api/deviceProfile/${id.id}`);
}

export function alarmRule(index: number, limit: number): object {
  const part = (operation: string) => ({
    condition: {
      condition: [
        {
          key: { type: "TIME_SERIES", key: "co2" },
          valueType: "NUMERIC",
          predicate: { type: "NUMERIC", operation, value: { defaultValue: limit } },
        },
      ],
      spec: { type: "SIMPLE" },
    },
  });
  return {
    id: `rule ${index}`,
    alarmType: `Alarm ${index}`,
    createRules: { MAJOR: part("GREATER") },
    clearRule: part("LESS"),
  };
}
