// The page "station".
