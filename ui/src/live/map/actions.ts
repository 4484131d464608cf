/** What cards and frames of the map can ask for. */

import { createContext, useContext } from "react";

export const MapActions = createContext<{ toggle: (group: string) => void }>({ toggle: () => undefined });

export function useMapActions() {
  return useContext(MapActions);
}
