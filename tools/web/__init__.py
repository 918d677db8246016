"""The page of a fleet: built with esbuild from the files beside this one, and served."""
