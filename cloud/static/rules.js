// The page "rules".
